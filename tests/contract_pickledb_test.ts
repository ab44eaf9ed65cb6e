import { contractTests } from "./_contract.ts";

contractTests("pickledb");
