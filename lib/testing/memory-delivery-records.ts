import { randomUUID } from 'node:crypto';
import type { DeliveryKey } from '../mailer/delivery-key';
import type { Claim, DeliveryRecords } from '../mailer/delivery-record';

/** Knows what was sent, as Postgres does in production: a job that runs again does not send again. */
export class MemoryDeliveryRecords implements DeliveryRecords {
  private readonly states = new Map<string, 'claimed' | 'sent'>();

  async claim({ key }: DeliveryKey): Promise<Claim> {
    const state = this.states.get(key);
    if (state) return { verdict: state === 'sent' ? 'sent' : 'busy' };
    this.states.set(key, 'claimed');
    return { verdict: 'mine', token: randomUUID() };
  }

  async sent(key: string): Promise<void> {
    this.states.set(key, 'sent');
  }

  async failed(key: string): Promise<void> {
    this.states.delete(key);
  }

  async prune(): Promise<number> {
    return 0;
  }
}
