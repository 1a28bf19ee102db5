import { DelayingProxy } from '../../support/delaying-proxy';

// This module runs in a separate process, so that it takes no CPU time from measured processes. It sends its port.
const { port, delayMs } = JSON.parse(process.argv[2] ?? '{}') as { readonly port: number; readonly delayMs: number };
void new DelayingProxy(port, delayMs).start().then((own) => process.send?.(own));
