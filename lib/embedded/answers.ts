import net from 'node:net';

/** Postgres' SSLRequest: it is answered by one letter before any authentication. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const WAIT_MS = 1000;

export async function postgresAnswers(port: number): Promise<boolean> {
  return /^[NS]/.test(await ask(port, SSL_REQUEST));
}

/** True once the data is loaded too: until then Redis answers PING with an error. */
export async function redisAnswers(port: number): Promise<boolean> {
  return (await ask(port, 'PING\r\n')).startsWith('+PONG');
}

/** The first piece of the answer, or '' when there is none. */
function ask(port: number, question: Buffer | string): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(question));
    const finish = (answer: string) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(WAIT_MS, () => finish(''));
    socket.once('data', (chunk) => finish(chunk.toString('latin1')));
    socket.once('error', () => finish(''));
    socket.once('close', () => resolve(''));
  });
}
