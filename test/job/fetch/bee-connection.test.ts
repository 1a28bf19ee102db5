import assert from 'node:assert/strict';
import { until } from '../../support/until';
import { AdapterStage, connectBee } from './adapter-stage';

describe('a connection that hears a channel', () => {
  it('hears it after it was lost, even when Redis had not had the subscription by then', async () => {
    const stage = await AdapterStage.start();
    const subscriber = await connectBee(stage.server.url);
    try {
      const heard: string[] = [];
      stage.server.pause();
      subscriber.subscribe('news', (text) => heard.push(text));
      // Sent, and never answered.
      subscriber.client.stream.destroy();
      stage.server.resume();
      for (const text of ['first', 'second']) {
        await until(`${text} is heard`, async () => {
          await stage.redis.client.publish('news', text);
          return heard.includes(text);
        });
        subscriber.client.stream.destroy();
      }
      assert.equal(heard[0], 'first');
    } finally {
      subscriber.end();
      await stage.stop();
    }
  });
});
