import path from 'node:path';
import { ignoreOperatorSignals } from '../../cluster/messages';
import type { Config } from '../../core/config';
import { EXIT, type UserError } from '../../core/errors';
import { type LoadedI18n, loadI18n } from '../../core/i18n';
import { cronEntries } from '../../job/cron/schedule';
import { loadJobs } from '../../job/job-registry';
import { checkMailers } from '../../mailer/check/check-mailers';
import { loadMailers } from '../../mailer/mailer-registry';
import { loadPreviews } from '../../mailer/preview/preview-registry';
import { loadModels } from '../../model/model-lookup';
import { toError } from '../../support/async';
import type { AppDefinition } from '../app/app-definition';
import { loadJobSetup, loadMailSetup, loadOwnWeb } from '../app/load-setup';
import { checkCronOptions, equalMigrations, refuseUnexported } from './file-mistakes';
import type { CheckMessage, Finding } from './findings';
import { manifestMistakes } from './manifest-mistakes';

/** The findings, and the number of classes that were checked. */
export interface CheckResult {
  readonly findings: readonly Finding[];
  readonly jobs: number;
  readonly mailers: number;
}

/**
 * Checks everything that needs neither Postgres nor Redis: classes, names, schedules, queues, setups, templates, texts
 * and previews. It continues after a mistake, so that all are reported at once.
 * @param config undefined: the settings are wrong themselves, and what depends on them is left out.
 */
export async function checkApp(
  app: AppDefinition,
  config: Pick<Config, 'jobs' | 'defaultLocale'> | undefined,
): Promise<CheckResult> {
  const findings = new Map<string, Finding>();
  const tell = (message: string, fatal = true) => {
    // A mistake in one class may be found again, without its file, when all classes are checked together.
    if ([...findings.keys()].some((known) => known.endsWith(message))) return;
    findings.set(message, { message, fatal });
  };
  const onFault = ({ message }: UserError) => tell(message);
  const attempt = async <T>(work: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work();
    } catch (thrown) {
      tell(toError(thrown).message);
      return otherwise;
    }
  };
  for (const { message, fatal } of manifestMistakes(app)) tell(message, fatal);
  const jobSetup = await attempt(() => loadJobSetup(app), {});
  await attempt(() => loadOwnWeb(app), {});
  const mailSetup = await attempt(() => loadMailSetup(app), {});
  const { importFile } = app;
  const models = await loadModels(app.modelsDir, { importFile, onFault });
  const codec = { serializers: jobSetup.serializers, models };
  const served = config?.jobs.queues.map(({ name }) => name);
  const jobs = await loadJobs(app.jobsDir, {
    importFile,
    onFault,
    onOther: (file, exported) => refuseUnexported(path.join(app.jobsDir, file), exported),
    inspect: (jobClass, file) => {
      cronEntries([jobClass], codec);
      checkCronOptions(jobClass);
      if (served === undefined || served.includes(jobClass.queue)) return;
      const wrong = `${jobClass.name} goes to the queue ${jobClass.queue}, which JOB_QUEUES (${served.join(', ')}) lacks`;
      tell(`${app.jobsDir}/${file}: ${wrong}: add it there, unless another tree serves it`, false);
    },
  });
  await attempt(async () => void cronEntries(jobs, codec), undefined);
  for (const message of equalMigrations(app)) tell(message);
  const mailers = await loadMailers(app.mailersDir, { importFile, onFault });
  const previews = await loadPreviews(app.previewsDir, {
    importFile,
    onFault: ({ message }) => tell(message, false),
  });
  const { defaultLocale = 'en' } = config ?? {};
  const i18n = await attempt<LoadedI18n | undefined>(() => loadI18n([app.localesDir], defaultLocale), undefined);
  if (i18n) {
    const { previewsDir, templatesDir, localesDir } = app;
    const folders = { previewsDir, templatesDir, localesDir };
    const usesTemplates = mailSetup.render === undefined;
    checkMailers({ mailers, previews, ...folders, i18n, defaultLocale, usesTemplates, onFinding: tell });
  }
  return { findings: [...findings.values()], jobs: [...jobs].length, mailers: mailers.size };
}

/** Runs in a process of its own at each start of a tree, and sends its findings to the primary. */
export async function runStartCheck(app: AppDefinition, config: Config): Promise<void> {
  process.title = 'catamount: check';
  ignoreOperatorSignals();
  process.once('disconnect', () => process.exit(EXIT.failed));
  const { findings } = await checkApp(app, config);
  process.send?.({ catamount: 'findings', findings } satisfies CheckMessage, undefined, undefined, () =>
    process.exit(EXIT.ok),
  );
}
