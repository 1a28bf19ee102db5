import { livingProcesses } from './living-processes';

livingProcesses('an outage of Postgres', 'the machine has slept', 'a pause of all processes');
