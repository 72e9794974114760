type Case = { stages?: unknown[] | null; stepUp?: boolean };

/**
 * asks says what a rule asks for, in all of its cases or in some: that people agree, and that whoever asks uses a
 * passkey.
 */
export function asks(cases: Case[] | null | undefined): { approval: "none" | "some" | "all"; passkey: boolean } {
  const list = cases ?? [];
  const decided = list.filter((c) => c.stages?.length).length;
  return {
    approval: !decided ? "none" : decided === list.length ? "all" : "some",
    passkey: list.some((c) => c.stepUp),
  };
}
