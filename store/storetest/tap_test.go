package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// A test of a backend whose store cannot be reached.
func ExampleTap() {
	var tap storetest.Tap
	st := tap.Over(memstore.New())
	tap.Before(func(_ context.Context, call string) error {
		if call == "Keys.Lookup" {
			return store.ErrUnavailable
		}
		return nil
	})
	_, err := st.Keys.Lookup(context.Background(), "some-id") // a login, in a backend
	fmt.Println(err)
	fmt.Println(tap.Take())
	// Output:
	// store: unavailable
	// map[Keys.Lookup:1]
}

// TestTapIsComplete checks that all calls go through the tap, except those that its
// documentation names.
func TestTapIsComplete(t *testing.T) {
	refused := errors.New("refused")
	var tap storetest.Tap
	tap.Before(func(context.Context, string) error { return refused })
	st := tap.Over(memstore.New())
	waits := reflect.TypeFor[context.Context]()
	tried := map[string]int{}
	fields := []reflect.Value{reflect.ValueOf(st), reflect.ValueOf(st.Records)}
	for _, fields := range fields {
		for i := range fields.NumField() {
			field := fields.Type().Field(i)
			if field.Name == "Limiter" || field.Name == "Watch" || field.Name == "Cached" || field.Anonymous {
				continue
			}
			for j := range field.Type.NumMethod() {
				method := field.Type.Method(j)
				if method.Type.NumIn() == 0 || method.Type.In(0) != waits {
					continue // Durable
				}
				arguments := []reflect.Value{reflect.ValueOf(t.Context())}
				for k := 1; k < method.Type.NumIn() && !(method.Type.IsVariadic() && k == method.Type.NumIn()-1); k++ {
					arguments = append(arguments, reflect.Zero(method.Type.In(k)))
				}
				results := fields.Field(i).MethodByName(method.Name).Call(arguments)
				require.Equal(t, refused, results[len(results)-1].Interface(), method.Name)
				tried[field.Name+"."+method.Name] = 1
			}
		}
	}
	require.Equal(t, tried, tap.Take())
	require.Empty(t, tap.Take(), "Take resets the counts")
}

func TestTap(t *testing.T) {
	var tap storetest.Tap
	below := memstore.New()
	st := tap.Over(below)
	t.Run("methods without a context are not counted", func(t *testing.T) {
		require.Equal(t, below.SigningKeys.Durable(), st.SigningKeys.Durable())
	})
	t.Run("fields that are nil stay nil", func(t *testing.T) {
		lacking := below
		lacking.Usage, lacking.Epochs = nil, nil
		require.Nil(t, tap.Over(lacking).Usage)
		require.Nil(t, tap.Over(lacking).Epochs)
	})
	t.Run("After can replace the error of a change that was made", func(t *testing.T) {
		tap.After(func(_ string, err error) error { return errors.Join(err, store.ErrUnavailable) })
		defer tap.After(nil)
		change := store.Change{Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		require.ErrorIs(t, st.Keys.Create(t.Context(), store.Key{ID: "k", Workspace: "team-a", Name: "ci"}, store.NoLimit, change), store.ErrUnavailable)
		found, err := below.Keys.Lookup(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "ci", found.Key.Name)
	})
	t.Run("After gets the store's error, and can return it", func(t *testing.T) {
		var seen error
		tap.After(func(_ string, err error) error { seen = err; return err })
		defer tap.After(nil)
		_, err := st.Keys.Lookup(t.Context(), "k")
		require.NoError(t, err)
		require.NoError(t, seen)
		_, err = st.Keys.Lookup(t.Context(), "unknown")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Equal(t, err, seen)
	})
}
