import { BeeConnection } from '../../../lib/job/fetch/consumer';
import { startTestRedis } from '../../support/redis';
import { tell } from '../../support/replicated-redis';
import { until } from '../../support/until';

describe('a connection of bee-queue', () => {
  it('reconnects until Redis accepts its handshake', async () => {
    const server = await startTestRedis();
    const errors: string[] = [];
    const connection = new BeeConnection({
      url: server.url,
      patienceMs: 200,
      onReady: () => undefined,
      onError: ({ message }) => errors.push(message),
    });
    const admin = { url: server.url.replace('//', '//:rotated@') };
    try {
      await until('the connection is ready', () => connection.ready);
      await tell(server, ['CONFIG', 'SET', 'requirepass', 'rotated']);
      connection.drop();
      await until('the handshake is refused', () => errors.some((message) => message.includes('NOAUTH')));
      await tell(admin, ['CONFIG', 'SET', 'requirepass', '']);
      await until('the connection is ready again', () => connection.ready);
    } finally {
      connection.end();
      await server.remove();
    }
  });
});
