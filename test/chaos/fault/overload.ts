import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { exchange } from '../traffic/exchange';
import type { Fault } from './fault';

/** Of two workers with five slots each. */
const SLOTS = 10;
const WORK_MS = 200;
const OVERLOAD_MS = 8000;

/** What cannot be served in time is told so at once, and nobody is cut off. */
export const OVERLOAD: Fault = {
  name: 'overload',
  about: 'twice as many requests as there are slots for, for 8 s',
  damage: 'turned away',
  async strike({ platform, ledger }) {
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
