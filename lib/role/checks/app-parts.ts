import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../../core/config';
import { UserError } from '../../core/errors';
import { errorFinding, type Finding, warningFinding } from '../../core/finding';
import { loadI18n } from '../../core/i18n';
import { listExports } from '../../core/load-classes';
import { cronEntries } from '../../job/cron/schedule';
import type { CronOptions, JobClass } from '../../job/definition/job-class';
import { effectiveName } from '../../job/definition/options';
import { loadJobs } from '../../job/job-registry';
import { requireKeys } from '../../job/record/encryption';
import { checkMailers } from '../../mailer/check/check-mailers';
import { loadMailers } from '../../mailer/mailer-registry';
import { loadPreviews } from '../../mailer/preview/preview-registry';
import { unknownMethod } from '../../mailer/transport/open-transport';
import { importMigration, migrationFiles } from '../../model/migrations';
import { loadModels } from '../../model/model-lookup';
import { didYouMean } from '../../support/did-you-mean';
import { lazy } from '../../support/lazy';
import { toError } from '../../support/to-error';
import type { AppDefinition } from '../app/app-definition';
import { loadJobSetup, loadMailSetup, loadOwnWeb, loadRoutes } from '../app/load-parts';
import { threadManifest } from '../app/thread-manifest';

interface Part<T> {
  readonly value: T;
  readonly found: readonly Finding[];
}

/** The parts of an app. Each is loaded once, and without what is wrong in it, so that all mistakes are found at once. */
export class AppParts {
  /** @param config undefined: the settings are wrong themselves, and what depends on them is left out. */
  constructor(
    readonly app: AppDefinition,
    private readonly config: Pick<Config, 'jobs' | 'mail' | 'defaultLocale'> | undefined,
  ) {}

  readonly jobSetup = lazy(() => attempt(() => loadJobSetup(this.app), {}));
  readonly mailSetup = lazy(() => attempt(() => loadMailSetup(this.app), {}));
  readonly models = lazy(() => loading((onFault) => loadModels(this.app.modelsDir, { ...this.app, onFault })));
  readonly mailers = lazy(() => loading((onFault) => loadMailers(this.app.mailersDir, { ...this.app, onFault })));
  readonly previews = lazy(() =>
    loading((onFault) => loadPreviews(this.app.previewsDir, { ...this.app, onFault }), warningFinding),
  );
  readonly webOptions = lazy(() => attempt(() => loadOwnWeb(this.app), undefined));
  readonly routes = lazy(() => attempt(() => loadRoutes(this.app), undefined));
  readonly texts = lazy(() => attempt(() => loadI18n([this.app.localesDir], this.defaultLocale), undefined));

  readonly jobs = lazy(async () => {
    const { jobsDir, importFile } = this.app;
    const codec = await this.codec();
    const served = this.config?.jobs.queues.map(({ name }) => name);
    const unserved: Finding[] = [];
    const inspect = (jobClass: JobClass, file: string) => {
      cronEntries([jobClass], codec);
      checkCronOptions(jobClass);
      for (const queue of new Set([jobClass.queue, jobClass.retryQueue])) {
        if (typeof queue !== 'string' || served === undefined || served.includes(queue)) continue;
        const wrong = `${jobClass.name} goes to the queue ${queue}, which JOB_QUEUES (${served.join(', ')}) lacks`;
        unserved.push(warningFinding(`${jobsDir}/${file}: ${wrong}: add it there, unless another tree serves it`));
      }
    };
    const onOther = (file: string, exported: unknown) => refuseUnexported(path.join(jobsDir, file), exported);
    const { value, found } = await loading((onFault) => loadJobs(jobsDir, { importFile, onFault, onOther, inspect }));
    return { value, found: [...found, ...unserved] };
  });

  /** All together, since no two may have one name. */
  readonly schedules = lazy(async () => {
    const [{ value: jobs }, codec] = [await this.jobs(), await this.codec()];
    return attempt(async () => cronEntries(jobs, codec), undefined);
  });

  /** Classes and mailers that encrypt, when there is no key. */
  async encryption(): Promise<readonly Finding[]> {
    if (!this.config || this.config.jobs.encryptionKeys?.length) return [];
    const [{ value: jobs }, { value: mailers }] = [await this.jobs(), await this.mailers()];
    const first = [...jobs, ...mailers].find(({ encrypt }) => encrypt);
    return first ? attempt(async () => requireKeys(first.name, undefined), undefined).then(({ found }) => found) : [];
  }

  /** A class with `thread`, when there is no thread for it. */
  async threads(): Promise<readonly Finding[]> {
    const { config } = this;
    if (!config) return [];
    const { value } = await this.jobs();
    return (await attempt(async () => threadManifest(value, this.app, config.jobs), undefined)).found;
  }

  /** MAIL_DELIVERY, when it names a method that there is not. */
  async deliveryMethod(): Promise<readonly Finding[]> {
    const { value, found } = await this.mailSetup();
    const mistake =
      this.config && found.length === 0 && unknownMethod(this.config.mail.delivery, value.deliveryMethods);
    return mistake ? [errorFinding(mistake)] : [];
  }

  private get defaultLocale(): string {
    return this.config?.defaultLocale ?? 'en';
  }

  private async codec() {
    return { serializers: (await this.jobSetup()).value.serializers, models: (await this.models()).value };
  }

  /** Templates, layouts, partials and texts of the mailers' actions. */
  async mails(): Promise<readonly Finding[]> {
    const { value: i18n } = await this.texts();
    if (!i18n) return [];
    const { app, defaultLocale } = this;
    const [mailers, previews] = [(await this.mailers()).value, (await this.previews()).value];
    const jobs = [...(await this.jobs()).value];
    const usesTemplates = (await this.mailSetup()).value.render === undefined;
    return checkMailers({ mailers, previews, folders: app, i18n, defaultLocale, usesTemplates, jobs });
  }

  equalMigrations(): Finding[] {
    return this.migrations().flatMap(({ name, file }, at, all) => {
      const other = all.slice(0, at).find((each) => each.name === name);
      if (!other) return [];
      const told = `${path.basename(other.file)} is a migration of the same name, and only one of them would run`;
      return errorFinding(`${file}: ${told}: rename one, or remove it`);
    });
  }

  /** Loads the app's migrations, without running them. */
  async brokenMigrations(): Promise<readonly Finding[]> {
    const all = this.migrations().map((each) => attempt(() => importMigration(each, this.app.importFile), undefined));
    return (await Promise.all(all)).flatMap(({ found }) => found);
  }

  private migrations() {
    return this.app.migrationsDir === false ? [] : migrationFiles([this.app.migrationsDir]);
  }
}

async function attempt<T>(load: () => Promise<T>, otherwise: T): Promise<Part<T>> {
  try {
    return { value: await load(), found: [] };
  } catch (thrown) {
    return { value: otherwise, found: [errorFinding(toError(thrown).message)] };
  }
}

async function loading<T>(
  load: (onFault: (error: UserError) => void) => Promise<T>,
  as = errorFinding,
): Promise<Part<T>> {
  const found: Finding[] = [];
  const value = await load(({ message }) => void found.push(as(message)));
  return { value, found };
}

const UNEXPORTED = /^[ \t]*class\s+(\w+)\s+extends\s+(?:\w+\.)?\w*Job\b/m;

/** @throws UserError for a file without exports that declares a job class: nobody would ever find it. */
function refuseUnexported(file: string, exported: unknown): void {
  if (listExports(exported).length > 0) return;
  const [, name] = UNEXPORTED.exec(fs.readFileSync(file, 'utf8')) ?? [];
  if (name) throw new UserError(`it declares ${name} and does not export it: export it as the default`);
}

const CRON_OPTIONS: Record<keyof CronOptions, true> = {
  at: true,
  timeZone: true,
  catchUp: true,
  args: true,
  name: true,
  ping: true,
};

/** @throws UserError for an option of `static cron` that there is not, such as `zone`. */
function checkCronOptions(jobClass: JobClass): void {
  const known = Object.keys(CRON_OPTIONS);
  for (const entry of [jobClass.cron].flat()) {
    if (typeof entry !== 'object' || entry === null) continue;
    const name = Object.keys(entry).find((each) => !known.includes(each));
    if (name === undefined) continue;
    const meant = didYouMean(name, known) ?? known.find((each) => each.toLowerCase().endsWith(name.toLowerCase()));
    const remedy = meant ? `write ${meant}` : `take it out, or write one of ${known.join(', ')}`;
    throw new UserError(`${effectiveName(jobClass)}: there is no option ${name} of cron: ${remedy}`);
  }
}
