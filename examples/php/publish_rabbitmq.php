<?php
// Publish an SMS to RabbitMQ. Needs: composer require php-amqplib/php-amqplib:^3.5
// usage: php publish_rabbitmq.php NUMBER TEXT [KEY.json]   with AMQP_HOST, AMQP_USER and AMQP_PASSWORD set;
// AMQP_PORT and AMQP_VHOST where they are not 5672 and /
require __DIR__ . '/vendor/autoload.php';
require __DIR__ . '/seal.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;

if ($argc < 3 || $argc > 4) {
    fwrite(STDERR, "usage: php publish_rabbitmq.php NUMBER TEXT [KEY.json]\n");
    exit(1);
}
[, $receiver, $message] = $argv;
$id = bin2hex(random_bytes(16));
$data = ['id' => $id, 'date_time' => time(), 'expiration' => time() + 300];
$request = ['command' => 'send-sms', 'data' => $data + ['receiver' => $receiver, 'message' => $message]];
$body = isset($argv[3])
    ? seal($request, json_decode(file_get_contents($argv[3]), true))
    : json_encode($request);

[$host, $user, $password] = array_map('getenv', ['AMQP_HOST', 'AMQP_USER', 'AMQP_PASSWORD']);
$port = getenv('AMQP_PORT') ?: 5672;
$connection = new AMQPStreamConnection($host, $port, $user, $password, getenv('AMQP_VHOST') ?: '/');
$channel = $connection->channel();
$channel->confirm_select(); // without it a message that the broker refuses is lost silently
$channel->set_return_listener(fn ($code, $text) => throw new RuntimeException("not published: $text"));
$properties = ['message_id' => $id, 'delivery_mode' => 2, 'expiration' => '300000'];
$channel->basic_publish(new AMQPMessage($body, $properties), '', 'sms', true);
$channel->wait_for_pending_acks_returns(10);
$connection->close();
