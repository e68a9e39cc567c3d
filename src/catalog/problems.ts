import type { z } from 'zod';

/** Findings that are listed one by one; further ones are only counted. */
export const PROBLEMS_LISTED_MAX = 1000;

type Issue = z.core.$ZodIssue;

/** Gathers everything that is wrong with a catalog, so that its owner can repair it in one go. */
export class Problems {
  readonly listed: string[] = [];
  count = 0;

  /**
   * @param place file and line, or file and path within the document
   * @param sentence what is wrong
   */
  add(place: string, sentence: string): void {
    this.count++;
    if (this.listed.length < PROBLEMS_LISTED_MAX) this.listed.push(`${place}: ${sentence}`);
  }

  /** Everything a schema found in one record. */
  addIssues(place: string, issues: readonly Issue[]): void {
    for (const issue of issues) this.addIssue(place, issue, []);
  }

  private addIssue(place: string, issue: Issue, above: readonly PropertyKey[]): void {
    const path = [...above, ...issue.path];
    if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      // Blame the alternative that the value was meant to be: the one whose outermost type already fits.
      const meant = issue.errors.find((branch) => !branch.some(isWrongTypeAtTop));
      if (meant === undefined) this.add(at(place, path), 'Expected a list or an object with include and exclude');
      else for (const inner of meant) this.addIssue(place, inner, path);
      return;
    }
    this.add(at(place, path), issue.message);
  }
}

function isWrongTypeAtTop(issue: Issue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0;
}

function at(place: string, path: readonly PropertyKey[]): string {
  if (path.length === 0) return place;
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? String(step) : `.${String(step)}`;
  }
  return `${place}: ${text}`;
}
