import { Command } from 'commander'
import { studyPlanCommand } from './study/plan.js'
import { studyReportCommand } from './study/report.js'
import { studyRunCommand } from './study/run.js'
import { studyStartCommand } from './study/start.js'
import { studyStatusCommand } from './study/status.js'

/** The command group `pmoe study`: one file a command. */
export function studyCommand(): Command {
  const group = new Command('study')
    .description('repeat a figure of the paper over many seeds, with statistics and a report')
    .usage('<name> [options] | plan | run | status | report')
  // `pmoe study fig4` is `pmoe study start fig4`.
  group.addCommand(studyStartCommand(), { isDefault: true })
  for (const command of [studyPlanCommand(), studyRunCommand(), studyStatusCommand(), studyReportCommand()]) {
    group.addCommand(command)
  }
  return group.addHelpText(
    'after',
    '\nExamples:\n  $ pmoe study fig4 --scale small\n  $ pmoe study start --help',
  )
}
