import fs from 'node:fs';
import { didYouMean } from '../../support/text';
import { type AppDefinition, FOLDERS, HEARS, notAFunction } from '../app/app-definition';
import type { AppOptions } from '../app/app-options';
import type { Finding } from './findings';

type Kind = 'checked by defineApp' | 'checked with the web' | 'folder' | 'function' | 'hooks';

const KINDS: Readonly<Record<keyof AppOptions, Kind>> = {
  name: 'checked by defineApp',
  root: 'checked by defineApp',
  routes: 'function',
  jobs: 'folder',
  jobSetup: 'function',
  models: 'folder',
  migrations: 'folder',
  mailers: 'folder',
  previews: 'folder',
  mailSetup: 'function',
  templates: 'folder',
  locales: 'folder',
  import: 'function',
  koa: 'function',
  bodyParser: 'checked with the web',
  headers: 'checked with the web',
  probes: 'checked with the web',
  server: 'function',
  workerBoot: 'function',
  workerStop: 'function',
  hooks: 'hooks',
};

/**
 * Finds mistakes in an app's manifest: unknown options, values of the wrong kind, missing folders. A missing folder is
 * not fatal, since Git and compilers create no empty ones.
 */
export function manifestMistakes(app: AppDefinition): Finding[] {
  const found: Finding[] = [];
  const tell = (message: string, fatal = true) => void found.push({ message: `defineApp: ${message}`, fatal });
  for (const [option, value] of Object.entries(app.given)) {
    if (value === undefined) continue;
    const kind = Object.hasOwn(KINDS, option) ? KINDS[option as keyof AppOptions] : undefined;
    if (kind === undefined) tell(unknown(option, 'option', Object.keys(KINDS)));
    if (kind === 'function' && typeof value !== 'function') tell(notAFunction(option, value));
    if (kind === 'hooks') for (const message of hookMistakes(value)) tell(message);
  }
  for (const option of FOLDERS) {
    const folder = app[`${option}Dir`];
    if (typeof app.given[option] !== 'string' || folder === false || fs.existsSync(folder)) continue;
    tell(
      `${option} is ${JSON.stringify(app.given[option])}, and there is no folder ${folder}: make it, or name another`,
      false,
    );
  }
  return found;
}

function hookMistakes(hooks: unknown): string[] {
  if (typeof hooks !== 'object' || hooks === null)
    return [`hooks is ${JSON.stringify(hooks)}; give an object of functions`];
  return Object.entries(hooks).flatMap(([name, hook]: [string, unknown]) => {
    if (!Object.hasOwn(HEARS, name)) return unknown(name, 'hook', Object.keys(HEARS));
    return hook === undefined || typeof hook === 'function' ? [] : notAFunction(`hooks.${name}`, hook);
  });
}

function unknown(name: string, kind: 'option' | 'hook', known: readonly string[]): string {
  const meant = didYouMean(name, known);
  return `there is no ${kind} ${name}: ${meant ? `write ${meant}` : `take it out, or write one of ${known.join(', ')}`}`;
}
