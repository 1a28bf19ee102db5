import { standstills } from './standstills';

standstills();
