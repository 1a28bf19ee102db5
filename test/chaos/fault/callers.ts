import http from 'node:http';
import net from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { SMUGGLED_REQUESTS } from '../../support/smuggled-requests';
import type { Environment } from '../scene/environment';
import { exchange } from '../traffic';
import type { Fault } from './faults';

const MANY = 60;
const LONG_MS = 8000;
const HEAD = 'POST /users HTTP/1.1\r\nHost: chaos.example\r\nContent-Type: application/json\r\n';
const TEN_MB = 10_000_000;

/** Faults of broken or hostile clients. All other clients must be served meanwhile. */
export const CONNECTION_FAULTS: readonly Fault[] = [
  {
    name: 'slow-loris',
    about: `${MANY} clients send a few bytes of their request now and then`,
    async inject(environment) {
      const sockets = await connectMany(environment, MANY);
      const request = Buffer.from(`${HEAD}X-Slow: ${'x'.repeat(200)}\r\n`);
      for (let n = 0; n < LONG_MS / 400; n++) {
        for (const socket of sockets) if (socket.writable) socket.write(request.subarray(n * 4, n * 4 + 4));
        await wait(400);
      }
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'half-open',
    about: `${MANY} clients send part of a body and nothing more, and read no response`,
    async inject(environment, roll) {
      const sockets = await connectMany(environment, MANY);
      for (const socket of sockets) {
        socket.pause();
        socket.write(`${HEAD}Content-Length: 5000\r\n\r\n{"email":"${'x'.repeat(roll(200))}`);
      }
      await wait(LONG_MS);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'resets',
    about: 'clients reset their connection anywhere in a request',
    async inject(environment, roll) {
      const body = JSON.stringify({ email: 'nobody', name: 'x'.repeat(2000) });
      const request = Buffer.from(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`);
      for (let n = 0; n < 20; n++) {
        for (const socket of await connectMany(environment, 10)) {
          socket.write(request.subarray(0, roll(request.length)), () => socket.resetAndDestroy());
        }
        await wait(roll(200));
      }
    },
  },
  {
    name: 'large-bodies',
    about: '8 clients send 10 MB each, half of them without announcing the length',
    async inject(environment) {
      const sockets = await connectMany(environment, 8);
      const answers = await Promise.all(sockets.map((socket, n) => sendLarge(socket, n % 2 === 0)));
      const wrong = answers.filter((answer) => /^HTTP\/1\.1 (2|500)/.test(answer));
      environment.ledger.broken.push(...wrong.map((answer) => `10 MB were answered ${answer}`));
    },
  },
  {
    name: 'smuggling',
    about: 'requests that hide another one behind an ambiguous length',
    async inject(environment) {
      for (const [name, bytes] of Object.entries(SMUGGLED_REQUESTS)) {
        const [socket] = await connectMany(environment, 1);
        if (!socket) return;
        const read = reading(socket);
        socket.end(bytes);
        await closed(socket);
        const answer = read();
        // A connection that is cut off also counts as rejected: its worker may be draining.
        const answers = answer.match(/HTTP\/1\.1 \d+/g) ?? [];
        if (answers.length > 1 || !/^(HTTP\/1\.1 4|$)/.test(answer))
          environment.ledger.broken.push(`${name}: ${answer}`);
      }
    },
  },
];

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

/** Opens connections. @returns those that were accepted, since the tree may be down. */
async function connectMany({ platform }: Environment, many: number): Promise<net.Socket[]> {
  const port = Number(new URL(platform.baseUrl).port);
  const connecting = Array.from(
    { length: many },
    () =>
      new Promise<net.Socket | undefined>((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => resolve(socket));
        socket.on('error', () => resolve(undefined));
      }),
  );
  return (await Promise.all(connecting)).filter((socket) => socket !== undefined);
}

/** @returns a function that returns all text received so far. */
function reading(socket: net.Socket): () => string {
  let answer = '';
  socket.setEncoding('latin1').on('data', (part) => {
    answer += String(part);
  });
  return () => answer;
}

function closed(socket: net.Socket): Promise<void> {
  return socket.destroyed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()));
}

/** @returns the response, which is empty when the connection is cut off. */
async function sendLarge(socket: net.Socket, announced: boolean): Promise<string> {
  const read = reading(socket);
  socket.write(`${HEAD}${announced ? `Content-Length: ${TEN_MB}` : 'Transfer-Encoding: chunked'}\r\n\r\n`);
  const part = 'x'.repeat(100_000);
  const ended = closed(socket);
  for (let sent = 0; sent < TEN_MB && socket.writable; sent += part.length) {
    const taken = socket.write(announced ? part : `${part.length.toString(16)}\r\n${part}\r\n`);
    if (!taken) await Promise.race([ended, new Promise((resolve) => socket.once('drain', resolve))]);
  }
  socket.end(announced ? '' : '0\r\n\r\n');
  await Promise.race([ended, wait(LONG_MS)]);
  socket.destroy();
  return read();
}
