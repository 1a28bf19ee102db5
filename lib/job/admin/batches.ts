import { isUuid } from '../../support/uuid';
import type { BatchStatus } from '../definition/batch';
import { checkReason } from '../definition/cancel-options';
import type { CancelCounts, CancelOptions } from '../definition/job-class';
import { BatchRows } from '../enqueue/batch-rows';
import { notify } from '../hint/notifier';
import { readBatches } from '../row/batch-status';
import { InvalidRequestError, type SetSources } from '../sets/query';

export class Batches {
  private readonly rows: BatchRows;

  constructor(private readonly sources: SetSources) {
    const { knex, events } = sources;
    this.rows = new BatchRows(knex, events, () => void notify(knex, 'look').catch(() => undefined));
  }

  list({ limit }: { readonly limit: number }): Promise<BatchStatus[]> {
    return readBatches(this.sources.knex, { limit });
  }

  /** @throws InvalidRequestError for an id that is no UUID. */
  find(id: string): Promise<BatchStatus | undefined> {
    return this.rows.status(checkId(id));
  }

  /** Lets a batch end whose filling has stopped. */
  async seal(id: string): Promise<void> {
    await this.rows.seal(checkId(id));
  }

  async cancel(id: string, { reason }: CancelOptions = {}): Promise<CancelCounts> {
    const counts = await this.rows.cancel(checkId(id), checkReason(reason));
    const { events, via } = this.sources;
    const count = counts.cancelled + counts.requested;
    if (count > 0) events.emit('operator.jobs', { action: 'cancel', set: 'waiting or running', count, via });
    return counts;
  }
}

function checkId(id: string): string {
  if (isUuid(id)) return id.toLowerCase();
  throw new InvalidRequestError(`the batch is ${JSON.stringify(id).slice(0, 100)}; give the id of a batch`);
}
