import fs from 'node:fs';
import path from 'node:path';

/**
 * Adds `scripts/NAME` to an app that `catamount new` has created, in its module system: it enqueues the welcome mail of
 * everybody of one name again, and awaits nothing, as a beginner writes it.
 */
export function writeScript(app: string, name: string): void {
  const typescript = name.endsWith('ts');
  const { type } = JSON.parse(fs.readFileSync(path.join(app, 'package.json'), 'utf8')) as { readonly type?: string };
  const esm = type === 'module';
  const imported = (what: string, file: string) =>
    typescript || esm
      ? `import ${what} from '../${file}${esm ? '.js' : ''}';`
      : `const ${what.replace(/\W/g, '')} = require('../${file}');`;
  const lines = [
    imported('WelcomeEmailJob', 'jobs/welcome-email'),
    imported('{ User }', 'lib/models/user'),
    '',
    `${typescript || esm ? 'export default' : 'module.exports ='} async (name${typescript ? ': string' : ''}) => {`,
    '  const users = await User.query().where({ name });',
    '  users.forEach(async ({ id }) => {',
    '    const user = await User.query().findById(id);',
    '    if (user) await WelcomeEmailJob.performLater(user.id);',
    '  });',
    '};',
    '',
  ];
  fs.mkdirSync(path.join(app, 'scripts'), { recursive: true });
  fs.writeFileSync(path.join(app, 'scripts', name), lines.join('\n'));
}
