import assert from 'node:assert/strict';
import { useDeployment } from '../../process/deployment';
import { signUp, somebody } from '../../process/sign-ups';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { cookiesOf, SIGNED, signInTo } from '../ops-web';
import { textOf } from '../page-view';

describe('the story of a sign-up in a real tree', () => {
  const deployment = useDeployment();
  const tree = inSuite(undefined, () =>
    deployment.start({ env: { ...deployment.env, ...SIGNED, WEB_CONCURRENCY: '1', APP_RELEASE: 'v7' } }),
  );

  it('goes from the request to the mail, by a search for its id', async () => {
    const Cookie = cookiesOf(await signInTo(tree, SIGNED.OPS_PASSWORD));
    const read = async (path: string) => textOf((await tree.request('GET', path, { headers: { Cookie } })).body);
    const user = somebody();
    const { headers } = await signUp(tree, user);
    const id = String(headers['x-request-id']);
    let story = '';
    await until('the mail is in the story', async () => {
      story = await read(`/ops/search?q=${id}`);
      return /mail UserMailer#welcome sent/.test(story);
    });
    assert.match(story, /POST \/users 201 in [\d,]+ ms web\.0 · \d+ statements?, \d+ ms/);
    assert.match(story, /done in [\d,]+ ms jobs/);
    assert.ok(story.includes(user.email), story);
    assert.match(await read('/ops/deploys'), /v7 running/);
    assert.match(await read(`/ops/search?q=${encodeURIComponent(user.email)}`), /Also searched for: User /);
  });
});
