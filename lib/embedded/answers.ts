import net from 'node:net';

/** Postgres' SSLRequest: it is answered by one letter before any authentication. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const WAIT_MS = 1000;

export async function postgresAnswers(port: number): Promise<boolean> {
  return /^[NS]/.test(await ask(port, SSL_REQUEST, 1));
}

/** True once the data is loaded too: until then Redis answers PING with an error. */
export async function redisAnswers(port: number, password?: string): Promise<boolean> {
  if (password === undefined) return (await ask(port, 'PING\r\n', 1)).startsWith('+PONG');
  return (await ask(port, `AUTH ${password}\r\nPING\r\n`, 2)).startsWith('+OK\r\n+PONG');
}

/** The first piece of an answer of one line, or so many lines; what came of it, when it was cut short. */
function ask(port: number, question: Buffer | string, lines: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(question));
    let answer = '';
    const finish = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(WAIT_MS, finish);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (lines === 1 || answer.split('\r\n').length > lines) finish();
    });
    socket.once('error', finish);
    socket.once('close', finish);
  });
}
