import { bounded, type Case, same, until } from "./support.ts";

/** What carries messages between processes, where an engine has it. */
export const BUS_CASES: Case[] = [
  {
    name: "passes messages on to all who subscribe, and to nobody else, if it has a bus",
    async run(scope) {
      const [first, second] = [await scope.open(), await scope.open("main/inside")];
      const [bus, other] = [first.bus(), second.bus()];
      if (bus === undefined || other === undefined) return;
      same(first.bus(), bus, "bus of the same engine again");
      const stranger = (await scope.open("main", "-stranger")).bus()!;
      const [heard, overheard]: [string[], string[]] = [[], []];
      const ends = await Promise.all([
        bus.subscribe((message) => heard.push(message), () => {}),
        stranger.subscribe((message) => overheard.push(message), () => {}),
      ]);
      const texts = ["plain", '{"keys":["é\\u0000\\ud800"]}', "x".repeat(7_000), ""];
      for (const text of texts) await other.publish(text);
      const arrive = async () => {
        while (heard.length < texts.length) await until(Date.now() + 5);
      };
      await bounded("messages", arrive());
      same(heard.toSorted(), texts.toSorted(), "messages");
      same(overheard, [], "messages of another name");
      for (const end of ends) await end();
      await other.publish("late");
      await until(Date.now() + 100);
      same(heard.length, texts.length, "messages after the end");
      // Whoever comes later hears what comes then.
      const late: string[] = [];
      const end = await bus.subscribe((message) => late.push(message), () => {});
      await other.publish("again");
      const come = async () => {
        while (late.length === 0) await until(Date.now() + 5);
      };
      await bounded("a message", come());
      same(late, ["again"], "messages of the later one");
      await end();
    },
  },
];
