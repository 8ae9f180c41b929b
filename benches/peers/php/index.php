<?php
// PHP's own file sessions, as php-fpm serves them. The answer carries its length: keep-alive.
$path = $_SERVER['DOCUMENT_URI'];
if ($path === '/') {
    $body = 'Hello, World!';
} else {
    session_start();
    if ($path === '/bump') {
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    }
    $body = (string) ($_SESSION['n'] ?? 0);
    session_write_close();
}
header('Content-Type: text/plain; charset=utf-8');
header('Content-Length: ' . strlen($body));
echo $body;
