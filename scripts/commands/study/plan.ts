import { Command } from 'commander'
import type { StudyPlanRequest } from './plan-action.js'
import { withStudyOptions } from './start.js'

/** The command `pmoe study plan`. */
export function studyPlanCommand(): Command {
  return withStudyOptions(new Command('plan').description('print the cells of a study without running any'))
    .option('--json', 'write each cell as a JSON line')
    .action(async (name: string, request: StudyPlanRequest) => {
      const { runStudyPlan } = await import('./plan-action.js')
      await runStudyPlan(name, request)
    })
}
