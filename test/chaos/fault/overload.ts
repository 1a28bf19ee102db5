import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { exchange } from '../traffic';
import type { Fault } from './faults';

/** Two workers with five threads each. */
const SLOTS = 10;
const WORK_MS = 200;
const OVERLOAD_MS = 8000;

/** A request that cannot be served in time must be shed at once, and none may be cut off. */
export const OVERLOAD: Fault = {
  name: 'overload',
  about: 'twice as many requests as the threads can serve, for 8 s',
  damage: 'turned away',
  async inject({ platform, ledger }) {
    const agent = new http.Agent();
    const everyMs = WORK_MS / SLOTS / 2;
    const begun = performance.now();
    const sent: Promise<void>[] = [];
    while (performance.now() - begun < OVERLOAD_MS) {
      while (sent.length * everyMs < performance.now() - begun) {
        const from = performance.now();
        const url = `${platform.baseUrl}/work?ms=${WORK_MS}`;
        sent.push(exchange(agent, { method: 'GET', url }).then((outcome) => ledger.record('GET /work', outcome, from)));
      }
      await wait(everyMs);
    }
    await Promise.all(sent);
    agent.destroy();
  },
};
