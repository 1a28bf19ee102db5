import { adoptDatabase } from '../outbox/installation';
import { BOTH, type JobCommand } from './command';
import { confirmed } from './desk';

export const ADOPT: JobCommand = {
  name: 'adopt',
  operands: [],
  options: ['yes'],
  needs: BOTH,
  help: 'let the jobs of a database that was copied from elsewhere run here; until then none does',
  prepare:
    ({ options }) =>
    async (desk) => {
      const { knex, redis, events, via } = desk.parts;
      await confirmed(desk, options.yes === true, 'run the jobs that this database has brought along');
      const changed = await adoptDatabase(knex, redis);
      if (changed) events.emit('operator.adopted', { via });
      const text = changed
        ? 'Adopted: its jobs are dispatched from now on.\n'
        : 'This database belongs here already.\n';
      return { json: { adopted: changed }, text };
    },
};
