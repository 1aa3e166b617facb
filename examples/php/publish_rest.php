<?php
// Send an SMS by the device's REST API, as it always was. PHP 7.4 or newer.
// usage: php publish_rest.php NUMBER TEXT   with DEVICE_URL (http://host:8889), API_USER and API_PASSWORD set
if ($argc !== 3) {
    fwrite(STDERR, "usage: php publish_rest.php NUMBER TEXT\n");
    exit(1);
}
[, $receiver, $message] = $argv;
$data = ['id' => bin2hex(random_bytes(16)), 'msisdn' => $receiver, 'message' => $message];
$basic = base64_encode(getenv('API_USER') . ':' . getenv('API_PASSWORD'));
$options = ['http' => [
    'method' => 'POST',
    'header' => "Content-Type: application/json\r\nAuthorization: Basic $basic",
    'content' => json_encode(['command' => 'send-sms', 'data' => $data]),
    'timeout' => 60,
]];
$answer = file_get_contents(getenv('DEVICE_URL') . '/api/sms', false, stream_context_create($options));
echo $answer, "\n";
exit((json_decode((string) $answer, true)['response_code'] ?? '') === '0000' ? 0 : 1);
