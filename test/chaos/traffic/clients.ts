import { CHORES, type ChoreKind } from '../ledger/ledger';
import { Client } from './client';
import type { Outcome } from './exchange';

let people = 0;
let chores = 0;

/** Someone whose token should work from the moment they have it. */
export class SignUpClient extends Client {
  /** @returns the address, if it was answered 201. */
  async signUp(): Promise<string | undefined> {
    const { ledger } = this.options;
    const n = ++people;
    const email = `user${n}@example.com`;
    const json = { email, name: `User ${n}`, locale: n % 2 === 0 ? 'ko' : 'en' };
    const outcome = await this.send('POST /users', '/users', { method: 'POST', json });
    if (!outcome) return undefined;
    if (status(outcome) === 201) {
      const { accessToken } = JSON.parse('body' in outcome ? outcome.body : '{}') as { readonly accessToken: string };
      ledger.users.push({ email, token: accessToken });
      return email;
    }
    // A commit whose answer was lost on its way, to us or to the worker.
    ledger.unsure.add(email);
    return undefined;
  }

  protected override async ask(): Promise<void> {
    await this.signUp();
  }
}

/** Looks whether those who signed up are still there. */
export class ReaderClient extends Client {
  private next = 0;

  protected override async ask(): Promise<void> {
    const { users, broken } = this.options.ledger;
    const user = users[this.next++ % Math.max(1, users.length)];
    if (!user) return;
    const headers = { authorization: `Bearer ${user.token}` };
    const outcome = await this.send('GET /users/me', '/users/me', { method: 'GET', headers });
    if (!outcome || !('body' in outcome) || outcome.status >= 500) return;
    if (outcome.status !== 200) broken.push(`${user.email} has a token that is answered ${outcome.status}`);
    else if (!outcome.body.includes(`"${user.email}"`)) broken.push(`${user.email} is told ${outcome.body}`);
  }
}

/** Has a request under way nearly all the time. */
export class SlowClient extends Client {
  protected override async ask(): Promise<void> {
    await this.send('GET /work', '/work?ms=400', { method: 'GET' });
  }
}

/** Enqueues jobs by every road. */
export class ChoreClient extends Client {
  private next = 0;

  /** @returns its number, if it was accepted. */
  async enqueue(kind: ChoreKind): Promise<number | undefined> {
    const { ledger } = this.options;
    const id = ++chores;
    const outcome = await this.send(`POST /chores/${kind}`, `/chores/${kind}?id=${id}`, { method: 'POST' });
    if (!outcome) return undefined;
    if (status(outcome) === 201 || status(outcome) === 204) {
      ledger.chores.push({ id, kind, at: performance.now() });
      return id;
    }
    if (kind === 'rolled-back') ledger.chores.push({ id, kind, at: performance.now() });
    else ledger.unsureChores.add(id);
    return undefined;
  }

  protected override async ask(): Promise<void> {
    await this.enqueue(CHORES[this.next++ % CHORES.length] ?? 'outbox');
  }
}

function status(outcome: Outcome): number | undefined {
  return 'status' in outcome ? outcome.status : undefined;
}
