import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { NotConnectedError } from '../../lib/core/errors';
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

describe('Mailer', () => {
  afterEach(() => Mailer.connect(undefined));

  it('gives each action as a typed static', () => {
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

  it('says what to do when nothing delivers in this process', async () => {
    await assert.rejects(OrderMailer.placed('ada@example.com', 5).deliverNow(), (error) => {
      assert.ok(error instanceof NotConnectedError);
      assert.match(
        error.message,
        /OrderMailer\.placed .* Use deliverLater\(\), deliver from a job .* Mailer\.connect\(\)/,
      );
      return true;
    });
  });

  it('is light: the primary and the web import it without email-templates, nodemailer or an ORM', () => {
    const mailer = path.resolve(__dirname, '../../lib/mailer/mailer');
    const script = `require(${JSON.stringify(mailer)});
      console.log(JSON.stringify(Object.keys(require.cache).filter((file) => file.includes('node_modules/'))))`;
    const loaded = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' });
    const packages: unknown = JSON.parse(loaded);
    assert.ok(Array.isArray(packages));
    const heavy = packages.filter((file) => !/node_modules\/(tsx|esbuild|get-tsconfig|resolve-pkg-maps)\//.test(file));
    assert.deepEqual(heavy, []);
  });
});
