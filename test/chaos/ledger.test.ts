import assert from 'node:assert/strict';
import { duplicatesOf } from './balance';
import { FAULTS, type Fault } from './fault/faults';
import { Ledger } from './ledger';
import { mailsByName } from './note-balance';
import { FaultSchedule, type Injection, lostRequests } from './run';

/** A chaos run that reports no loss only means something if it would detect one. */
describe('the ledger of a chaos run', () => {
  const mail = (at: number, messageId = '<1>') => ({ to: 'a@b.co', messageId, at });
  const reasonFor = (mails: readonly ReturnType<typeof mail>[], incidents: Parameters<typeof duplicatesOf>[1]) =>
    duplicatesOf(new Map([['a@b.co', mails]]), incidents).map(({ reason }) => reason !== undefined);

  it('excuses a duplicate mail only if the processor died right after the first or a reply was lost', () => {
    const twice = [mail(1000), mail(9000)];
    assert.deepEqual(reasonFor([mail(1000)], []), []);
    assert.deepEqual(reasonFor(twice, []), [false]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'processor died', at: 1500 }]), [true]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'processor died', at: 8000 }]), [false]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'processor died', at: 500 }]), [false]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'answer of SMTP lost', at: 5000 }]), [true]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'answer of SMTP lost', at: 9500 }]), [false]);
    assert.deepEqual(reasonFor([mail(1000), mail(2000, '<2>')], [{ kind: 'processor died', at: 1500 }]), [false]);
  });

  it('counts mails of one job to one reader as the same only if their subjects are the same', () => {
    const noteMail = (subject: string) => ({ to: 'reader1@notes.example', messageId: '<1>', at: 1, subject });
    const notes = [noteMail('note 1 hello'), noteMail('note 2 hello'), noteMail('note 1 hello')];
    assert.deepEqual(
      [...mailsByName([...notes, mail(1), mail(2, '<2>')]).values()].map((same) => same.length),
      [2, 1, 2],
    );
  });

  it('counts a failed request as lost if no fault at its time explains the damage', () => {
    const fault = (damage: Fault['damage']) =>
      ({ name: 'x', about: 'x', inject: async () => undefined, damage }) as Fault;
    const injected = (damage: Fault['damage'], from: number, to: number | undefined): Injection => ({
      ...{ fault: fault(damage), from, to },
      ...{ recovery: undefined, error: undefined },
    });
    const ledger = new Ledger();
    const now = performance.now();
    // This is late enough however slowly the requests are recorded.
    const later = now + 3_600_000;
    const busy = { status: 503, body: '', retryAfter: '2' };
    const limited = { status: 429, body: '', retryAfter: '60' };
    const bare = { status: 503, body: '' };
    const wrong = { status: 500, body: '' };
    const cut = { error: 'ECONNRESET' };
    const all = [busy, limited, bare, wrong, cut];
    for (const outcome of [...all, { status: 201, body: '' }]) ledger.record('GET /', outcome, now - 100);
    const lost = (...injections: Injection[]) => lostRequests(ledger.mishaps, injections).map(({ outcome }) => outcome);
    assert.deepEqual(lost(), all);
    assert.deepEqual(lost(injected(undefined, now - 500, later)), all);
    assert.deepEqual(lost(injected('turned away', now - 500, undefined)), [bare, wrong, cut]);
    assert.deepEqual(lost(injected('cut', now - 500, later)), [bare, wrong]);
    assert.deepEqual(lost(injected('cut', later, later)), all);
    assert.deepEqual(lost(injected('cut', now - 9000, now - 5000)), all);
  });

  it('follows a schedule that a seed repeats: each fault once, then each during a phased restart', () => {
    const names = (seed: number, many: number) => {
      const schedule = new FaultSchedule(FAULTS, seed);
      return Array.from({ length: many }, () => schedule.next().name);
    };
    const round = FAULTS.length;
    assert.deepEqual(names(7, 3 * round), names(7, 3 * round));
    assert.notDeepEqual(names(7, round), names(8, round));
    assert.deepEqual(names(7, round).sort(), FAULTS.map(({ name }) => name).sort());
    const second = names(7, 2 * round - 1).slice(round);
    assert.ok(second.every((name) => name.endsWith('+restart')));
    assert.equal(new Set(second).size, round - 1);
  });
});
