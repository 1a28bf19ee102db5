import { livingProcesses } from './living-processes';

livingProcesses('a lock of its tables that lasted');
