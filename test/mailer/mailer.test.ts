import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { NotConnectedError } from '../../lib/core/errors';
import { DeliverMailJob } from '../../lib/mailer/deliver-mail-job';
import { Mailer } from '../../lib/mailer/mailer';
import type { DeliveryResult, MailMessage } from '../../lib/mailer/message';

class OrderMailer extends Mailer {
  static readonly placed = this.action('placed');
  static readonly shipped = this.action('shipped');
  static runs = 0;

  placed(to: string, total: number) {
    OrderMailer.runs += 1;
    if (total === 0) return;
    return this.mail({ to, locals: { total } });
  }

  async shipped(to: string) {
    return this.mail({ to });
  }

  total() {
    return 1;
  }
}

class TenantMailer extends Mailer<{ readonly tenant: string; readonly plan?: string }> {
  static readonly hello = this.action('greeting');
  static readonly bye = this.action('bye');
  greeting(to: string) {
    return this.mail({ to, subject: `${this.params.tenant} ${this.params.plan ?? 'free'}` });
  }
  bye(to: string, at: { readonly night: boolean }) {
    return this.mail({ to, subject: at.night ? 'Good night' : this.urlFor('/bye') });
  }
}
class SubTenantMailer extends TenantMailer {}

describe('Mailer', () => {
  afterEach(() => Mailer.connect(undefined));

  it('exposes each action as a typed static method', () => {
    OrderMailer.placed('ada@example.com', 1);
    OrderMailer.shipped('ada@example.com');
    // @ts-expect-error the action wants a number
    OrderMailer.placed('ada@example.com', 'much');
    // @ts-expect-error the action wants a total
    OrderMailer.placed('ada@example.com');
    // Only methods that build mails are actions.
    class Wrong extends OrderMailer {
      // @ts-expect-error total() builds no mail
      static readonly wrong = this.action('total');
    }
    assert.ok(Wrong);
  });

  it('passes typed params from with() to the actions', async () => {
    const mailer = TenantMailer.with({ tenant: 'acme', plan: 'pro' });
    assert.equal((await mailer.hello('ada@example.com').build())?.options.subject, 'acme pro');
    assert.deepEqual(Object.keys(mailer), ['hello', 'bye']);
    // An action can be detached, and keeps its params.
    const { hello } = mailer;
    assert.equal((await hello('ada@example.com').build())?.options.subject, 'acme pro');

    const mistakes = () => {
      // @ts-expect-error a tenant must be given
      TenantMailer.hello('ada@example.com');
      // @ts-expect-error a tenant must be given
      TenantMailer.with({ plan: 'pro' });
      // @ts-expect-error a tenant is a string
      TenantMailer.with({ tenant: 5 });
      // @ts-expect-error there is no such param
      TenantMailer.with({ tenant: 'acme', colour: 'red' });
      // @ts-expect-error an action's own arguments are checked
      mailer.bye('ada@example.com');
      // @ts-expect-error only actions are available
      mailer.connect(undefined);
      // @ts-expect-error a mailer without params takes none
      OrderMailer.with({ tenant: 'acme' });
    };
    assert.ok(mistakes);
  });

  it('uses the class that the action is called on', async () => {
    const message = SubTenantMailer.with({ tenant: 'acme' }).hello('ada@example.com');
    assert.deepEqual(
      [message.mailer.name, message.action, message.title],
      ['SubTenantMailer', 'greeting', 'SubTenantMailer#greeting'],
    );
    class SubOrderMailer extends OrderMailer {}
    assert.equal(SubOrderMailer.shipped('ada@example.com').mailer.name, 'SubOrderMailer');
    const { shipped } = SubOrderMailer;
    assert.equal(shipped('ada@example.com').mailer.name, 'OrderMailer');
  });

  it('validates a mail where it is built', async () => {
    await assert.rejects(OrderMailer.shipped('nobody').build(), (error: Error) => {
      assert.match(error.message, /^to: "nobody" is not an e-mail address$/);
      assert.match(error.stack ?? '', /OrderMailer\.shipped/);
      return true;
    });
  });

  it('builds links when it knows APP_URL', async () => {
    const bye = TenantMailer.with({ tenant: 'acme' }).bye('ada@example.com', { night: false });
    assert.equal((await bye.build('https://shop.example'))?.options.subject, 'https://shop.example/bye');
    await assert.rejects(bye.build(), NotConnectedError);
    const build = () => new TenantMailer().greeting('ada@example.com');
    assert.throws(build, /a TenantMailer that you created yourself builds no mail: declare its actions as statics/);
  });

  it('runs the action at delivery, not before, and once per delivery', async () => {
    const delivered: unknown[] = [];
    const deliver = async (message: MailMessage): Promise<DeliveryResult> => {
      delivered.push((await message.build())?.options);
      return { status: 'sent', messageId: '<1@x>' };
    };
    Mailer.connect({ deliver });
    OrderMailer.runs = 0;
    const message = OrderMailer.placed('ada@example.com', 5);
    assert.equal(OrderMailer.runs, 0);
    assert.deepEqual(await message.deliverNow(), { status: 'sent', messageId: '<1@x>' });
    assert.equal(OrderMailer.runs, 1);
    await OrderMailer.shipped('bob@example.com').deliverNow();
    assert.deepEqual(delivered, [{ to: 'ada@example.com', locals: { total: 5 } }, { to: 'bob@example.com' }]);
  });

  it('says what to do in a process without a delivery', async () => {
    await assert.rejects(OrderMailer.placed('ada@example.com', 5).deliverNow(), (error) => {
      assert.ok(error instanceof NotConnectedError);
      assert.match(error.message, /OrderMailer\.placed .* Use deliverLater\(\), or deliver from a job/);
      return true;
    });
    Mailer.connect({ deliver: async () => assert.fail('it knows no mailers') });
    const enqueued = { mailer: 'OrderMailer', action: 'placed', args: [], params: {} };
    await assert.rejects(new DeliverMailJob().perform(enqueued), { name: 'NotConnectedError', message: /no mailers/ });
  });

  it('is light: the primary and the web import it without email-templates, nodemailer or an ORM', () => {
    const mailer = path.resolve(__dirname, '../../lib/mailer/mailer');
    // The script even enqueues a mail.
    const script = `
      const { Mailer } = require(${JSON.stringify(mailer)});
      const { Job } = require(${JSON.stringify(path.resolve(__dirname, '../../lib/job/job'))});
      class UserMailer extends Mailer { welcome() {} }
      UserMailer.welcome = UserMailer.action('welcome');
      Job.connect({ enqueue: async ([request]) => [{ id: JSON.stringify(request.args), enqueued: true }] });
      UserMailer.welcome(1).deliverLater().then(({ id }) => {
        if (!id.includes('UserMailer')) throw new Error(id);
        console.log(JSON.stringify(Object.keys(require.cache).filter((file) => file.includes('node_modules/'))));
      })`;
    const loaded = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' });
    const packages: unknown = JSON.parse(loaded);
    assert.ok(Array.isArray(packages));
    const heavy = packages.filter((file) => !/node_modules\/(tsx|esbuild|get-tsconfig|resolve-pkg-maps)\//.test(file));
    assert.deepEqual(heavy, []);
  });
});
