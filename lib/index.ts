/**
 * The public door: what an app needs, and all that our own app uses. `Model` is looked up on first use, so that the
 * primary, which imports the app's manifest through this door, never loads the ORM.
 */
import type * as model from './model/model';

export { boot } from './boot';
export type { Config } from './core/config';
export { MissingValueError, UserError } from './core/errors';
export { type Attributes, currentContext, withAttributes } from './core/execution-context';
export * from './job/enqueue/argument-types';
export { CancelEnqueue } from './job/enqueue/callbacks';
export { EnqueueError } from './job/enqueue/enqueue-error';
export type { PreparedJob } from './job/enqueue/prepared-job';
export type { EnqueuedJob, EnqueueRequest } from './job/enqueue/request';
export { type ConfiguredJob, Job, performAllLater } from './job/job';
export type { CronOptions, JobContext, JobOptions, UniqueOptions } from './job/job-class';
export type { RetryOnOptions } from './job/perform/retry-rules';
export type { Cursor } from './job/perform/run-notes';
export { JobTimeoutError } from './job/perform/timeout';
export { DiscardJob, KillJob, RecordGoneError } from './job/perform/verdict';
export type {
  ArgumentSerializer,
  EnqueueMiddleware,
  ErrorReport,
  JobRun,
  JobSetup,
  PerformMiddleware,
} from './job/setup';
export type { Address, Addresses, Mailbox } from './mailer/address';
export type { AttachmentContent, AttachmentOption, AttachmentOptions, MailAttachment } from './mailer/attachment';
export {
  AttachmentError,
  InvalidMailError,
  MissingTemplateError,
  MissingTextError,
  PartialDeliveryError,
  PermanentDeliveryError,
} from './mailer/errors';
export type { DeliveryMethod, Mail, MailAtHand, MailDefaults, MailOptions } from './mailer/mail';
export { Mailer, type NoParams } from './mailer/mailer';
export type { DeliveryResult, MailMessage } from './mailer/message';
export { MailerPreview } from './mailer/preview/mailer-preview';
export type { Layout, Parts, Render, RenderedParts, RenderRequest } from './mailer/render-request';
export type { InterceptedMessage, MailInterceptor, MailObserver, MailOrigin, MailSetup } from './mailer/setup';
export { TemplateError } from './mailer/template-error';
export type { OutgoingMessage, Receipt, Refusal } from './mailer/transport/transport';
export type { UrlQuery } from './mailer/url-for';
export { currentTransaction, transaction } from './model/transaction';
export {
  type AppDefinition,
  type AppOptions,
  defineApp,
  type RouteEnvironment,
  type Routes,
} from './role/app-definition';
export type { Hooks } from './role/hooks';
export { clientNetwork } from './support/client-network';
export type { Duration } from './support/duration';
export type { Rate } from './support/rate';
export { ProblemError } from './web/problem';
export type { RateLimit } from './web/rate-limit';

export declare const Model: typeof model.Model;
export type Model = model.Model;

Object.defineProperty(module.exports, 'Model', {
  enumerable: true,
  get: () => (require('./model/model') as typeof model).Model,
});
