import http from 'node:http';
import net from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { readAnswers } from '../../fuzz/answers';
import { request } from '../../support/http';
import type { Environment } from '../scene/environment';
import { exchange } from '../traffic';
import type { Fault } from './faults';

const FLOOD = 400;
const FLOODERS = 16;
/** One in this many sign-ups of the flood has an advertisement as its name. */
const ADVERTISING = 5;
const ADVERTISEMENTS = [
  'your payment failed, renew at https://evil.example/pay',
  'WWW.evil.example',
  'see evil.example/now',
  'hTTps://evil.example',
];
let flooded = 0;

const SIGN_UP_FLOOD: Fault = {
  name: 'sign-up-flood',
  about: `${FLOOD} sign-ups as fast as they are answered, from ${FLOODERS} addresses, some with advertisements as names`,
  damage: 'turned away',
  async inject({ ledger, platform }, roll) {
    let next = 0;
    const flood = async (localAddress: string) => {
      const agent = new http.Agent({ keepAlive: true, localAddress } as http.AgentOptions);
      while (next++ < FLOOD) {
        const email = `flood${++flooded}@flood${roll(20)}.example`;
        const advert = roll(ADVERTISING) === 0 ? ADVERTISEMENTS[roll(ADVERTISEMENTS.length)] : undefined;
        const from = performance.now();
        const url = `${platform.baseUrl}/users`;
        const json = { email, name: advert ?? `Flood ${flooded}`, locale: 'en' };
        const outcome = await exchange(agent, { method: 'POST', url, json });
        const status = 'status' in outcome ? outcome.status : undefined;
        if (advert === undefined) ledger.record('POST /users', outcome, from);
        else if (status !== 422 && status !== 429 && status !== 503 && status !== undefined)
          ledger.broken.push(`a name with an advertisement was answered ${status}`);
        if (status === 201 && 'body' in outcome) {
          const { accessToken } = JSON.parse(outcome.body) as { readonly accessToken: string };
          ledger.users.push({ email, token: accessToken });
        } else ledger.unsure.add(email);
      }
      agent.destroy();
    };
    await Promise.all(Array.from({ length: FLOODERS }, (_, n) => flood(`127.3.${roll(200)}.${n + 1}`)));
  },
};

const FORGED_MS = 5000;

/** No proxy is trusted, so forwarding headers from clients must be ignored. */
const FORGED_HEADERS: Fault = {
  name: 'forged-headers',
  about: 'clients forge headers about their address and the host',
  async inject({ ledger, platform, traffic }) {
    const { baseUrl } = platform;
    const begun = performance.now();
    for (let n = 0; performance.now() - begun < FORGED_MS; n++) {
      const headers = {
        'x-forwarded-for': `203.0.113.${n % 250}, 127.0.0.1`,
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https',
        forwarded: 'for=192.0.2.60;host=evil.example',
      };
      const user = ledger.users[n % Math.max(1, ledger.users.length)];
      if (user) {
        const authorization = `Bearer ${user.token}`;
        const answer = await request(`${baseUrl}/users/me`, { headers: { ...headers, authorization } });
        if (answer.status !== 200) ledger.broken.push(`a request with forged headers was answered ${answer.status}`);
      }
      const page = await request(`${baseUrl}/ops`, { headers: { ...headers, host: 'evil.example' } });
      const told = JSON.stringify(page.headers) + page.body;
      if (page.status >= 500 || told.includes('evil.example'))
        ledger.broken.push(`/ops under another host was answered ${page.status}, or the response names that host`);
      const odd = await request(`${baseUrl}/health`, { headers: { host: ['a b', 'a@b', 'a/b', '[::1'][n % 4] ?? '' } });
      if (odd.status !== 400) ledger.broken.push(`an invalid Host was answered ${odd.status}`);
      await wait(50);
    }
    await traffic.signUps.signUp();
  },
};

const PIPELINERS = 12;
const PIPELINED = 400;
/** Requests answered on one connection; the server closes it after the last one. */
const MAX_ANSWERED = 128;

const PIPELINES: Fault = {
  name: 'pipelines',
  about: `${PIPELINERS} clients send ${PIPELINED} requests each without waiting for a response`,
  damage: 'turned away',
  async inject(environment, roll) {
    const { ledger } = environment;
    const texts = await Promise.all(Array.from({ length: PIPELINERS }, () => pipeline(environment, roll(2) === 0)));
    for (const text of texts) {
      // A response that is cut off in the middle counts as shed.
      const answers = readAnswers(text.slice(0, text.lastIndexOf('\r\n\r\n') + 4));
      if (answers.length > MAX_ANSWERED) ledger.broken.push(`${answers.length} pipelined requests were answered`);
      for (const { status, headers } of answers)
        if (status >= 500 && !(status === 503 && headers.has('retry-after')))
          ledger.broken.push(`a pipelined request was answered ${status}`);
    }
  },
};

/** @returns all text received until the server closed the connection. */
function pipeline({ platform }: Environment, slow: boolean): Promise<string> {
  const port = Number(new URL(platform.baseUrl).port);
  const one = `GET ${slow ? '/work?ms=20' : '/health'} HTTP/1.1\r\nHost: chaos.example\r\n\r\n`;
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(one.repeat(PIPELINED)));
    socket.setEncoding('latin1').on('data', (part) => {
      text += String(part);
    });
    socket.on('error', () => undefined).on('close', () => resolve(text));
  });
}

/** Hostile traffic may make other clients wait, but nothing worse. */
export const STRANGER_FAULTS: readonly Fault[] = [SIGN_UP_FLOOD, FORGED_HEADERS, PIPELINES];
