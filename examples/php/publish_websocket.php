<?php
// Publish an SMS to a WebSocket broker, with what PHP has. PHP 7.4 or newer.
// usage: php publish_websocket.php NUMBER TEXT [KEY.json]   with BROKER_URL, BROKER_USER, BROKER_PASSWORD set
// BROKER_URL is wss://host:9000/ws?topic=sms, or without ?topic= for a broker of channels (WSMessageBroker).
require __DIR__ . '/seal.php';

function fail(string $why): void
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

$argc === 3 || $argc === 4 || fail('usage: php publish_websocket.php NUMBER TEXT [KEY.json]');
[, $receiver, $message] = $argv;
$data = ['id' => bin2hex(random_bytes(16)), 'date_time' => time(), 'expiration' => time() + 300];
$request = ['command' => 'send-sms', 'data' => $data + ['receiver' => $receiver, 'message' => $message]];
if (isset($argv[3])) {
    $request = ['jwe' => seal($request, json_decode(file_get_contents($argv[3]), true))];
}
$url = parse_url(getenv('BROKER_URL'));
$inChannel = strpos($url['query'] ?? '', 'topic=') === false;
if ($inChannel) {
    $request = ['command' => 'send-message', 'channel' => 'sms', 'data' => [$request]];
}

$tls = $url['scheme'] === 'wss';
$port = $url['port'] ?? ($tls ? 443 : 80);
$socket = @stream_socket_client(($tls ? 'tls' : 'tcp') . "://{$url['host']}:$port", $number, $problem, 10)
    ?: fail("the broker can't be reached: $problem");
stream_set_timeout($socket, 10);
$target = ($url['path'] ?? '/') . (isset($url['query']) ? "?{$url['query']}" : '');
$basic = base64_encode(getenv('BROKER_USER') . ':' . getenv('BROKER_PASSWORD'));
fwrite($socket, implode("\r\n", ["GET $target HTTP/1.1", "Host: {$url['host']}:$port", 'Upgrade: websocket',
    'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: ' . base64_encode(random_bytes(16)),
    "Authorization: Basic $basic", '', '']));
$status = fgets($socket);
strpos((string) $status, ' 101 ') !== false || fail("the broker said $status");
while (trim((string) fgets($socket)) !== ''); // the other headers
if ($inChannel) { // such a broker greets first, with one text frame, and says in it whether it lets us in
    $head = unpack('Ctype/Csize', stream_get_contents($socket, 2) . "\0\0");
    $size = $head['size'] < 126 ? $head['size'] : unpack('n', stream_get_contents($socket, 2) . "\0\0")[1];
    $greeting = json_decode((string) stream_get_contents($socket, $size), true);
    ($greeting['response_code'] ?? '') === '00' || fail('the broker refused user name or password');
}

// One text frame, masked as RFC 6455 section 5.3 wants it of clients, then a closing frame.
function frame(int $opcode, string $payload): string
{
    $mask = random_bytes(4);
    $size = strlen($payload);
    $length = $size < 126 ? chr(0x80 | $size) : chr(0x80 | 126) . pack('n', $size);
    return chr(0x80 | $opcode) . $length . $mask . ($payload ^ str_pad('', $size, $mask));
}

fwrite($socket, frame(1, json_encode($request)) . frame(8, pack('n', 1000)));
stream_get_contents($socket); // until the broker closes too
