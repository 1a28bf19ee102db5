import { TcpProxy } from '../../support/tcp-proxy';

// This module runs in a separate process, so that it takes no CPU time from measured processes. It sends its port.
const { port, delayMs } = JSON.parse(process.argv[2] ?? '{}') as { readonly port: number; readonly delayMs: number };
void TcpProxy.start(`tcp://127.0.0.1:${port}`, { delayMs }).then((proxy) => process.send?.(proxy.port));
