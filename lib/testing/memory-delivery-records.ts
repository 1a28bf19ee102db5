import { randomUUID } from 'node:crypto';
import type { IdempotencyKey } from '../mailer/definition/mail-types';
import type { Claim, DeliveryStore } from '../mailer/delivery/delivery-record';

/** Delivery records in memory, so that, as in production, a job that runs again does not send its mail again. */
export class MemoryDeliveryRecords implements DeliveryStore {
  readonly renewAfterMs = Number.POSITIVE_INFINITY;
  private readonly states = new Map<string, 'claimed' | 'sent'>();

  async claim({ key, messageId }: IdempotencyKey): Promise<Claim> {
    const state = this.states.get(key);
    if (state) return { verdict: state === 'sent' ? 'sent' : 'busy' };
    this.states.set(key, 'claimed');
    return { verdict: 'mine', token: randomUUID(), messageId, settled: [] };
  }

  async renew(): Promise<boolean> {
    return true;
  }

  async sent(key: string): Promise<void> {
    this.states.set(key, 'sent');
  }

  /** Never called: the transport of tests refuses nobody. */
  async recordPartial(key: string): Promise<void> {
    this.states.delete(key);
  }

  async failed(key: string): Promise<void> {
    this.states.delete(key);
  }

  async release(key: string): Promise<void> {
    this.states.delete(key);
  }

  async prune(): Promise<number> {
    return 0;
  }
}
