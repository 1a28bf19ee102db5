import { definePowers } from './powers';
import { inModes } from './worlds';

inModes(['fake', 'inline'], definePowers);
