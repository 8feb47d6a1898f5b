package projector

import "context"

// hold tells others that this process writes to the database, until ctx ends: a
// rebuild then is refused. Nothing waits for it but a rebuild that is going on.
func (p *Projector) hold(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		release, err := p.config.Store.Hold(ctx)
		if err == nil {
			<-ctx.Done()
			release()
			return
		}
		pause(ctx, backOff(attempt))
	}
}
