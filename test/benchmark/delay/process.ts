import { DelayingProxy } from './delaying-proxy';

/** A delaying proxy in a process of its own, so that it takes nobody's turn. Tells its port. */
const { port, delayMs } = JSON.parse(process.argv[2] ?? '{}') as { readonly port: number; readonly delayMs: number };
const proxy = new DelayingProxy(port, delayMs);
process.once('message', () => process.exit());
void proxy.start().then((own) => process.send?.(own));
