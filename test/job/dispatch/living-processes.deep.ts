import { livingProcesses } from './living-processes';

livingProcesses('a lock of its tables that lasted', 'a lock of the dead set that lasted');
