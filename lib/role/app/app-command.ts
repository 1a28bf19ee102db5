import type { Config } from '../../core/config';
import type { AppDefinition } from './app-options';

/** What runs a command in a process that ends by itself. @param args what follows its name. */
export type AppCommand = (
  app: AppDefinition,
  args: readonly string[],
  readConfig: () => Promise<Config>,
) => Promise<void>;
