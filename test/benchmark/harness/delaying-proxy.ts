import { DelayingProxy } from '../../support/delaying-proxy';

// A process of its own, so that the proxy takes no time from what is measured. It sends its port.
const { port, delayMs } = JSON.parse(process.argv[2] ?? '{}') as { readonly port: number; readonly delayMs: number };
void new DelayingProxy(port, delayMs).start().then((own) => process.send?.(own));
