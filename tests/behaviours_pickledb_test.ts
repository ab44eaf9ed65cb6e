import { behaviours } from "./behaviours/_run.ts";

behaviours("pickledb");
