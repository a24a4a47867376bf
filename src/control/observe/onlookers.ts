/** Whether somebody looks at packets now: captures, and those who follow drops. What goes past the workers is not seen there. */

/** Who follows drops asks again sooner. */
const FOLLOWS_MS = 5_000;

export class Onlookers {
  private count = 0;
  private following: NodeJS.Timeout | undefined;
  private tell: (areThere: boolean) => void = () => undefined;

  get areThere(): boolean {
    return this.count > 0;
  }

  /** Called at each change. */
  onChange(tell: (areThere: boolean) => void): void {
    this.tell = tell;
  }

  /** Somebody looks until he calls what is returned. */
  begin(): () => void {
    this.add(1);
    let isOver = false;
    return () => {
      if (!isOver) this.add(-1);
      isOver = true;
    };
  }

  /** Somebody asked for what is new, and is likely to ask again. */
  follow(): void {
    if (this.following) {
      this.following.refresh();
      return;
    }
    const end = this.begin();
    this.following = setTimeout(() => {
      this.following = undefined;
      end();
    }, FOLLOWS_MS).unref();
  }

  private add(change: 1 | -1): void {
    const before = this.areThere;
    this.count += change;
    if (this.areThere !== before) this.tell(this.areThere);
  }
}
