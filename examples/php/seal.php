<?php
// Encrypt a command to a device's public key (JWE, ECDH-ES with A256GCM), with PHP's openssl alone. PHP 7.4 or newer.
// $jwk: what `otpbroker feeder-key show --json` prints, decoded.
function seal(array $command, array $jwk): string
{
    $encode = fn (string $octets): string => rtrim(strtr(base64_encode($octets), '+/', '-_'), '=');
    $decode = fn (string $text): string => base64_decode(strtr($text, '-_', '+/'));
    $pad = fn (string $octets): string => str_pad($octets, 32, "\0", STR_PAD_LEFT);
    // SubjectPublicKeyInfo of a point on P-256 (RFC 5480)
    $der = hex2bin('3059301306072a8648ce3d020106082a8648ce3d03010703420004') . $decode($jwk['x']) . $decode($jwk['y']);
    $public = "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($der), 64, "\n") . "-----END PUBLIC KEY-----\n";
    $own = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
    $point = openssl_pkey_get_details($own)['ec'];
    $epk = ['kty' => 'EC', 'crv' => 'P-256', 'x' => $encode($pad($point['x'])), 'y' => $encode($pad($point['y']))];
    $header = $encode(json_encode(['alg' => 'ECDH-ES', 'enc' => 'A256GCM', 'kid' => $jwk['kid'], 'epk' => $epk]));
    $shared = openssl_pkey_derive(openssl_pkey_get_public($public), $own, 32);
    $info = pack('N', 7) . 'A256GCM' . pack('NNN', 0, 0, 256); // RFC 7518, section 4.6.2
    $key = hash('sha256', pack('N', 1) . $shared . $info, true);
    $nonce = random_bytes(12);
    $box = openssl_encrypt(json_encode($command), 'aes-256-gcm', $key, OPENSSL_RAW_DATA, $nonce, $tag, $header);
    return "$header.." . $encode($nonce) . '.' . $encode($box) . '.' . $encode($tag);
}
