import { type Theme, useData } from 'vitepress'
import DefaultTheme from 'vitepress/theme-without-fonts'
import { defineComponent, h } from 'vue'
import { liveFigure } from './live-figure.js'
import { PageProgram } from './page-program.js'
import { loaded } from './programs.js'
import './site.css'

/** The theme's layout; below a page of a program, the program. */
const Layout = defineComponent(() => {
  const { frontmatter } = useData()
  return () =>
    h(DefaultTheme.Layout, null, {
      'page-bottom': () => {
        const { program } = frontmatter.value
        return program ? h(PageProgram, { name: program, key: program }) : undefined
      },
    })
})

export default {
  extends: DefaultTheme,
  Layout,
  enhanceApp({ app }) {
    app.component(
      'MethodFigure',
      liveFigure(async root =>
        (await loaded<typeof import('../../method/main.js')>('method')).mountMethodFigure(root),
      ),
    )
  },
} satisfies Theme
