import assert from 'node:assert/strict';
import { Deck } from './deck';
import type { Fault } from './fault/fault';
import { FAULTS } from './fault/faults';
import { doublesOf } from './ledger/doubles';
import { Ledger } from './ledger/ledger';
import { lostRequests, type Strike } from './strike';

/** A run that finds nothing wrong is worth something only if it would. */
describe('the books of a chaos run', () => {
  const mail = (at: number, messageId = '<1>') => ({ to: 'a@b.co', messageId, at });
  const reasonFor = (mails: readonly ReturnType<typeof mail>[], incidents: Parameters<typeof doublesOf>[1]) =>
    doublesOf(new Map([['a@b.co', mails]]), incidents).map(({ reason }) => reason !== undefined);

  it('explain a second mail by a death right after the first, or by a lost answer, and by nothing else', () => {
    const twice = [mail(1000), mail(9000)];
    assert.deepEqual(reasonFor([mail(1000)], []), []);
    assert.deepEqual(reasonFor(twice, []), [false]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'processor died', at: 1500 }]), [true]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'processor died', at: 8000 }]), [false]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'processor died', at: 500 }]), [false]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'answer of SMTP lost', at: 5000 }]), [true]);
    assert.deepEqual(reasonFor(twice, [{ kind: 'redis lost data', at: 1500 }]), [false]);
    assert.deepEqual(reasonFor([mail(1000), mail(2000, '<2>')], [{ kind: 'processor died', at: 1500 }]), [false]);
  });

  it('lose a request that came to more harm than what struck at its time explains', () => {
    const fault = (damage: Fault['damage']) =>
      ({ name: 'x', about: 'x', strike: async () => undefined, damage }) as Fault;
    const struck = (damage: Fault['damage'], from: number, to: number | undefined): Strike => ({
      ...{ fault: fault(damage), from, to },
      ...{ recovery: undefined, error: undefined },
    });
    const ledger = new Ledger();
    const now = performance.now();
    /** However slowly the requests are noted. */
    const later = now + 3_600_000;
    const busy = { status: 503, body: '', retryAfter: '2' };
    const bare = { status: 503, body: '' };
    const wrong = { status: 500, body: '' };
    const cut = { error: 'ECONNRESET' };
    const all = [busy, bare, wrong, cut];
    for (const outcome of [...all, { status: 201, body: '' }]) ledger.record('GET /', outcome, now - 100);
    const lost = (...strikes: Strike[]) => lostRequests(ledger.mishaps, strikes).map(({ outcome }) => outcome);
    assert.deepEqual(lost(), all);
    assert.deepEqual(lost(struck(undefined, now - 500, later)), all);
    assert.deepEqual(lost(struck('turned away', now - 500, undefined)), [bare, wrong, cut]);
    assert.deepEqual(lost(struck('cut', now - 500, later)), [bare, wrong]);
    assert.deepEqual(lost(struck('cut', later, later)), all);
    assert.deepEqual(lost(struck('cut', now - 9000, now - 5000)), all);
  });

  it('come from faults in an order that a seed gives again: each once, then each during a phased restart', () => {
    const names = (seed: number, many: number) => {
      const deck = new Deck(FAULTS, seed);
      return Array.from({ length: many }, () => deck.next().name);
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
