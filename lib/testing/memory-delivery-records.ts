import { randomUUID } from 'node:crypto';
import type { IdempotencyKey } from '../mailer/definition/mail-types';
import type { Claim, DeliveryStore } from '../mailer/delivery/delivery-record';

/** Delivery records in memory, so that, as in production, a job that runs again does not send its mail again. */
export class MemoryDeliveryRecords implements DeliveryStore {
  readonly renewAfterMs = Number.POSITIVE_INFINITY;
  private readonly states = new Map<string, 'claimed' | 'sent'>();
  private readonly settled = new Map<string, readonly string[]>();

  private readonly messageIds = new Map<string, string>();

  async claim({ key, messageId }: IdempotencyKey): Promise<Claim> {
    const state = this.states.get(key);
    if (state) return { verdict: state === 'sent' ? 'sent' : 'busy' };
    this.states.set(key, 'claimed');
    const first = this.messageIds.get(key) ?? messageId;
    this.messageIds.set(key, first);
    return { verdict: 'mine', token: randomUUID(), messageId: first, settled: this.settled.get(key) ?? [] };
  }

  async renew(): Promise<boolean> {
    return true;
  }

  async sent(key: string): Promise<void> {
    this.states.set(key, 'sent');
  }

  async recordPartial(key: string, _token: string, settled: readonly string[]): Promise<void> {
    this.settled.set(key, settled);
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
