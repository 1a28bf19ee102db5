import { BeeQueueContender } from './bee-queue';
import { BullMqContender } from './bullmq';
import { CatamountContender } from './catamount';
import type { Contender, Stores } from './contender';
import { GraphileContender } from './graphile-worker';

export const CONTENDERS = {
  catamount: (stores: Stores): Contender => new CatamountContender(stores),
  /** That of another checkout: see `--against`. */
  other: (stores: Stores): Contender => new CatamountContender(stores),
  'catamount, outbox': (stores: Stores): Contender => new CatamountContender(stores, { byOutbox: true }),
  'catamount, dying': (stores: Stores): Contender => new CatamountContender(stores, { die: true }),
  'catamount, no history': (stores: Stores): Contender => new CatamountContender(stores, { history: false }),
  'bee-queue': (stores: Stores): Contender => new BeeQueueContender(stores),
  bullmq: (stores: Stores): Contender => new BullMqContender(stores),
  'graphile-worker': (stores: Stores): Contender => new GraphileContender(stores),
} as const;

export type ContenderName = keyof typeof CONTENDERS;
