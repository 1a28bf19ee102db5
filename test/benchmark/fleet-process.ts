import { CatamountContender } from './contender/catamount';
import type { StoreUrls } from './contender/contenders';

/** A job processor of the product in a separate process, which runs until it is killed. */
export interface FleetTask {
  readonly stores: StoreUrls;
}

/** First `working`, then for each job the time since its argument, ms. */
export type FleetMessage = 'working' | number;

/** The monotonic clock, which all processes of a machine share, ms. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function work({ stores }: FleetTask): Promise<unknown> {
  const send = (message: FleetMessage) => process.send?.(message);
  return new CatamountContender(stores).work(2, (sentAt) => send(now() - sentAt)).then(() => send('working'));
}

if (require.main === module) {
  work(JSON.parse(process.argv[2] ?? '{}') as FleetTask).catch((error: Error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
}
